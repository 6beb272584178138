"""One debugging session: a source opened, a recipe applied, the engines and rules asked, the findings told."""
