"""① Rules in the token API: fields, versions, previews and trials."""
