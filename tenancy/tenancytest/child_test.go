package tenancytest_test

import "os"

const childVariable = "TENANCYTEST_CHILD"

var _ = os.Getenv
