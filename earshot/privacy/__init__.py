"""What an operator must be able to answer: how long keys live, what is held of somebody, that it is gone."""
