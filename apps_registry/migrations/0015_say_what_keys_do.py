"""Say what a server key's events must name; the tables stay as they are."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0014_explain_fields'),
    ]

    operations = [
        migrations.AlterField(
            model_name='attributionsettings',
            name='probabilistic_clicks',
            field=models.BooleanField(blank=True, help_text='Credit an install to a click from the same address and kind of device if it is the only one, for example where no ID is shared. Off unless you switch it on.', null=True, verbose_name='probabilistic clicks'),
        ),
        migrations.AlterField(
            model_name='sdkkey',
            name='kind',
            field=models.CharField(choices=[('app', 'In the app (public)'), ('server', 'On your server (secret)')], default='app', help_text="In the app: the SDK on players' devices, for example in a Unity build. On your server: your backend. Name the device's ip_address and user_agent in its events: they are not taken from the request.", max_length=16),
        ),
    ]
