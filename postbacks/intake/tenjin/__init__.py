"""② Tenjin's API: calls of its SDKs and its customers' servers, converted to events of ours."""
