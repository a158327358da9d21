"""Say who sent a server's touchpoint, so that a stranger's flood is told from its network's clicks."""

from django.db import migrations, models

# At once at any size: a default that is constant is written into no row.
ADD = "ALTER TABLE touchpoint ADD COLUMN sender varchar(48) NOT NULL DEFAULT ''"


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0030_count_failures'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(ADD, "ALTER TABLE touchpoint DROP COLUMN sender")
            ],
            state_operations=[
                migrations.AddField(
                    model_name='touchpoint',
                    name='sender',
                    field=models.CharField(
                        blank=True,
                        default='',
                        help_text="Which key or, hashed, which address reported it, if a server did.",
                        max_length=48,
                    ),
                ),
            ],
        ),
    ]
