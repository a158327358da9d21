"""Count the workers that began an export or a comparison, and write exports as Parquet."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0045_search_events'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='dryrunjob',
            name='claimed_at',
        ),
        migrations.AddField(
            model_name='discrepancy',
            name='failure',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AddField(
            model_name='discrepancy',
            name='tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='export',
            name='tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='export',
            name='failure',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AlterField(
            model_name='export',
            name='format',
            field=models.CharField(choices=[('csv', 'CSV'), ('jsonl', 'JSON Lines'), ('parquet', 'Parquet')], max_length=8),
        ),
        migrations.AlterField(
            model_name='export',
            name='status',
            field=models.CharField(choices=[('running', 'Running'), ('finished', 'Finished'), ('cancelled', 'Cancelled'), ('failed', 'Failed'), ('erased', 'Deleted by an erasure')], default='running', max_length=16),
        ),
    ]
