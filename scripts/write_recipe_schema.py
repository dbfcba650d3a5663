"""Write the JSON schema of recipes, which serves editors: `python scripts/write_recipe_schema.py`."""

import json

from hggt_models.config.schema import SCHEMA, recipe_schema

if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(recipe_schema(), indent=1) + "\n", "utf-8")
