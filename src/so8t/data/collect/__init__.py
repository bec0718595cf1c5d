"""Collecting web pages by rule: reviewed sources only, robots.txt to the letter, one line of evidence per decision."""
