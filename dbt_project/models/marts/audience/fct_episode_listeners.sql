{{ config(materialized='incremental', incremental_strategy='kept_periods') }}

{{ listeners_by_period(['show_id', 'episode_key']) }}
