package fingerprint_test

import (
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
