"""What the organiser gave, as rows: tables, layouts, quality and folds. No TensorFlow here."""
