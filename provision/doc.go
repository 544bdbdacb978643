// Package provision makes, upgrades and drops the databases of tenants, and ends what processes that died in the middle
// have left behind.
//
// A sign-up is [Provisioner.Create]. The registry's row comes first, and holds the name and the e-mail; the database,
// cloned from a template that has the schema already, comes second; activation is the one commit point. Each tenant has
// a role of its own, unless Config.SharedRole is set, that can connect to its database only, and that can neither drop
// nor alter it.
//
// [Provisioner.Upgrade] brings a tenant to the schema of a later release, and [Provisioner.Drop] deletes it. Undoing a
// failed sign-up is not left to the process that has just failed; it is the work of [Provisioner.Run]: let it run in at
// least one process.
//
// A [Schema] makes the template and upgrades databases; package provision/atlas has one. A stamp in the registry says
// which schema a tenant has, and is given only after the catalogue's [fingerprint.Fingerprint] was compared.
//
// # The administrator
//
// Config.Admin logs in to each server's direct endpoint with CREATEDB and CREATEROLE; it need not be a superuser. Of
// the databases it owns none: the NOLOGIN role "<prefix>_owner" does, of which it becomes a member. It must be the same
// role in all processes, because the privileges that later upgrades grant are those of objects that this role makes.
// With Config.SharedRole it needs CREATEROLE only if the roles that all tenants share are to be made by it.
//
// # The maintenance database
//
// Tenants' roles must not enter the maintenance database. Where the administrator owns it or is a superuser, the right
// to connect to it and to template1 is taken from PUBLIC when a server is prepared; a role that is no superuser and
// needs one of them, of a monitor or another installation, must be granted CONNECT by name. Elsewhere a warning is
// logged. What a tenant's role owns in other databases goes when the tenant is dropped.
//
// # Templates
//
// Each release that changes the schema makes a template, "<prefix>_template_<hash>". Those of other releases are left
// alone, because processes that are not replaced yet need them; once none does, an operator may drop them, after ALTER
// DATABASE … IS_TEMPLATE false.
//
// # Warm databases
//
// With Config.Warm, Run makes databases ahead of sign-ups, each under an id made ahead of time: name, role, password,
// wall and comment are those of the tenant that it will be, and nothing is renamed. A sign-up that brings no id of its
// own takes one in the transaction of its intent; what is left is the seed and the activation. From then on the tenant
// is like any other: what a dead process leaves of it is finished or undone in the same way.
//
// One is made at a time of a schema on a server, however many processes keep the stock. What a keeper that died has
// begun is finished by Reconcile, or dropped after Config.Attempts tries. When a release brings another schema, its
// keepers fill a stock of their own; that of the older release is dropped a minute after the last process that wanted
// it is gone.
//
// # How long a deletion takes
//
// DROP DATABASE waits until every process of the server has taken note of it. A stopped one holds it up, and so does a
// client that stalls while it logs in, for as long as the server's authentication_timeout (a minute by default; lower
// it where strangers can reach the port). Sign-ups do not wait: they drop nothing. What is to be dropped keeps its row,
// and with it its name and e-mails, until it is gone.
//
// # Errors
//
// Errors and log lines hold no password, e-mail, row value or connection string. From an error of PostgreSQL's remain
// the SQLSTATE, the names of objects and, where they cannot quote a value, message, detail and hint: errors.As finds a
// *pgconn.PgError with these. What a caller's own Seed or SideEffect returns is passed on as it is, unless the driver's
// errors are in it.
package provision
