"""What a collaboration brought, and how that number came about, in words and terms; nothing is estimated.

marts asks the published marts, answer makes an Explanation of their rows (model), page puts it into words,
numbers and pictures once. `earshot attribution`, the reporting API and the pages show it.
"""
