"""Environment variables of the webhook commands, by the names that people type."""

from ingest.settings import PREFIX

SECRET = f"{PREFIX}WEBHOOK_SECRET"  # so that a secret need not stand in a shell's history; no Setting
TEST_HOSTS = f"{PREFIX}WEBHOOK_TEST_HOSTS"  # the setting `webhook_test_hosts`
