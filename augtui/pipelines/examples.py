"""Prompts as people write them, for measuring when there is no file of one's own."""

from __future__ import annotations

from typing import Final

PROMPTS: Final[tuple[str, ...]] = (
    "explain how photosynthesis works to a 10 year old",
    "write a python function that merges two sorted lists",
    "plan a 3-day trip to Kyoto for a family with two children",
    "Write an email to my landlord asking to fix the heating before December 1",
    "compare electric cars and hybrid cars for someone who drives 40 miles a day",
    "summarize the text in ${{article}} in three bullet points",
    "give me a recipe for a quick lentil soup",
    "what are the pros and cons of remote work for small companies?",
    'translate "good morning, how did you sleep?" into Spanish',
    "Write a SQL query that finds the 5 customers with the highest total orders",
    "I have a job interview at a bank next week. Which questions should I expect, and how do I answer them well?",
    "suggest names for a bakery that only sells sourdough bread",
    "Describe the causes of the French Revolution in about 200 words, for a school essay",
    "my cat does not drink enough water, what can I do",
    "write a short story about a lighthouse keeper who finds a message in a bottle",
    "Explain the difference between TCP and UDP with an example of when to use each",
    "make a weekly workout plan for a beginner who has 20 minutes a day and no equipment",
    "Rewrite this so that it sounds more polite: send me the report today",
    "how do I calculate the monthly payment of a 250,000 dollar loan over 30 years at 6.5% interest?",
    "list five books about the history of mathematics and say who each one is for",
    "Write a regular expression that matches dates of the form 2024-03-31",
    "what should a contract between a freelancer and a client contain",
    "Draft a speech of two minutes for my sister's wedding; she is a doctor and loves sailing",
    "classify these reviews as positive or negative: 'great battery', 'the screen broke after a week'",
    "Explain inflation with an everyday example",
    "turn these notes into a paragraph: meeting moved to Friday, budget approved, Anna leads the project",
    "which plants grow well on a balcony that faces north?",
    "Write unit tests in pytest for a function that parses phone numbers",
    "give me ten ideas for a science fair project about water",
    "What happens in the body when we sleep? Answer in simple language and avoid medical terms",
    "create a shopping list for a vegetarian dinner for six people under 40 euros",
    "Compose a haiku about autumn rain and explain the image that it uses",
)
