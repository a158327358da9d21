"""Give organizations the currency that revenue is shown in; until one is chosen, US dollars."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0019_leave_contested_store_ids_to_operators'),
    ]

    operations = [
        migrations.AddField(
            model_name='organization',
            name='currency',
            field=models.CharField(default='USD', help_text='Revenue is shown in this currency, by the rates of its days, for example EUR.', max_length=3, validators=[django.core.validators.RegexValidator('^[A-Z]{3}$', 'Write three capital letters, for example USD.')]),
        ),
    ]
