// Package church is the work of one church: members, branches, messages with their recipients, conversations,
// templates, recurring messages and subscriptions.
//
// Every function works on the pool it is given, which is the pool of one church's own database. So no query names a
// church, and none can reach another one's rows.
//
// An update replaces the whole record, and the last one wins. Lists go from the newest to the oldest, a page at a time.
package church
