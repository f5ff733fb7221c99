"""`earshot attribution`: what a collaboration brought, and how that number came about.

marts reads the published marts, answer makes an Explanation of them (model), page puts it into words, numbers
and pictures once, and terminal, markdown and as_json show that.
"""
