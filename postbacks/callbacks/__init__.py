"""④ Rules and conditions, ⑤ macros and rendering."""
