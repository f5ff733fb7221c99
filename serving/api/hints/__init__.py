"""Notices that feeds have news, from outside: podpings of a watcher, deliveries of WebSub hubs."""
