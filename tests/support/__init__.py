"""What tests of several folders share: small models, files in published layouts, a stand-in Hub, real photographs."""
