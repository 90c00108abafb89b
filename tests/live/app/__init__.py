"""An app with tasks whose every start and end is written down."""
