package tenancy

// KeepaliveSettings are the settings that a connection gets if Base has no others.
func KeepaliveSettings() map[string]string { return keepaliveSettings() }
