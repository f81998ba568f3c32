"""Named volumes behind one Protocol."""
