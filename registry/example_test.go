package registry_test

import (
	"fmt"

	"github.com/pgtenancy/pgtenancy/registry"
)

func ExampleParseEmail() {
	e, err := registry.ParseEmail(" Ann@Bücher.example ")
	fmt.Println(e, err)
	fmt.Println(e.Reveal())

	_, err = registry.ParseEmail("Ann <ann@example.com>")
	fmt.Println(err)
	// Output:
	// [redacted] <nil>
	// Ann@Bücher.example
	// registry: invalid e-mail address
}
