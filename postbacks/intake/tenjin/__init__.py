"""② Tenjin's API: what its SDKs and its customers' servers send, in the SDK API's words."""
