// Package api is the church system's JSON API.
//
// Every error is an RFC 9457 problem. A body is one JSON object of at most 1 MiB; a field that is not known is refused
// by name, because a misspelt optional field would otherwise be lost in silence. Lists have the form
// {"items": [...], "next": "cursor"}; a list without next is at its end.
package api
