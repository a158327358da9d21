"""Let processes count calls and share a cache without Redis, in tables that write no log."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0006_complete_rules")]

    operations = [
        migrations.CreateModel(
            name="RateCount",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("count", models.BigIntegerField()),
                ("ends_at", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "rate_count"},
        ),
        migrations.CreateModel(
            name="CacheEntry",
            fields=[
                ("key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("value", models.TextField()),
                ("ends_at", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "cache_entry"},
        ),
        migrations.RunSQL(
            "ALTER TABLE rate_count SET UNLOGGED; ALTER TABLE cache_entry SET UNLOGGED",
            migrations.RunSQL.noop,
        ),
    ]
