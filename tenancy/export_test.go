package tenancy

// AbandonedSettings are what a connection gets that Base does not say.
func AbandonedSettings() map[string]string { return abandonedSettings() }
