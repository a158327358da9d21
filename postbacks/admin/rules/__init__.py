"""① Rules for people: the form, its preview, versions and trials."""
