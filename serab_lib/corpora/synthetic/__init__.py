"""The demo's nine corpora, spoken by eSpeak NG."""
