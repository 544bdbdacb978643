// Package conformance has no code but its tests: every router that docs/frameworks.md shows passes the same ones, on
// real databases. routers_test.go has the routers, one function each; conformance_test.go what all of them must do;
// rpc_test.go the same for gRPC and Connect.
package conformance
