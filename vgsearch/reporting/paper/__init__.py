"""The paper's Tables 1 to 18, with our recorded runs beside them."""
