"""`earshot explain`: one episode and day, down to the log line.

An excerpt of the lake is counted by the models of production (answer), evidence and story read what they say,
words and show say it to people, as_json to programs.
"""
