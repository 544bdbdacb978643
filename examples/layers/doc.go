// Package layers shows each query layer on tenants' databases: attach.go has what is made once for each pool, and
// layers_test.go a query and a transaction of each. docs/orm.md shows the same lines.
package layers
