"use strict";

// Starts Swagger on the API's page. The page's policy forbids inline scripts.
const container = document.getElementById("swagger-ui");

SwaggerUIBundle({
  url: container.dataset.schema,
  domNode: container,
  deepLinking: true,
  docExpansion: "none", // subjects at a glance; of some 120 open operations it draws only the first
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
