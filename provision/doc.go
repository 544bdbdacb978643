// Package provision makes, upgrades and drops the databases of tenants, and completes or undoes the work of processes
// that died.
//
// A sign-up is [Provisioner.Create]. The registry's row comes first, and reserves the name and the e-mail. The
// database, cloned from a template that has the schema already, comes second. Activation is the only commit point.
// Unless Config.SharedRole is set, each tenant has a role of its own, which can connect to its database only, and can
// neither drop nor alter it.
//
// [Provisioner.Upgrade] brings a tenant to the schema of a later release, and [Provisioner.Drop] deletes it.
// [Provisioner.Run] undoes failed sign-ups, in this process or another: let it run in at least one.
//
// A [Schema] makes the template and upgrades databases; package provision/atlas has one. A stamp in the registry says
// which schema a tenant has. It is given only after the [fingerprint.Fingerprint] of the database was compared.
//
// # Invariants
//
// Only what provably belongs to a tenant is dropped: the database or role has our owner, and its owner tag names a
// tenant of a row. No name and no e-mail is free again before the database and role that had it are gone. A database is
// closed to all tenants until its access is complete.
//
// All statements that make, change or drop a tenant's database or role run on the one session that holds the lock of
// its name. So a paused process can do nothing more once another has terminated that session. A claim in the registry
// says which process works on a tenant; a step checks it before it begins.
//
// Each step is idempotent: after a crash, the same steps run again from the start.
//
// # Where to begin
//
// A sign-up: create.go (Create, the list of steps), job.go (how a step runs), database.go (the database and the access
// to it), seed.go (the seed, the side effects, the activation). Its end: teardown.go (Drop, the steps of undoing). What
// dead processes leave: reconcile.go (Run and Reconcile), reconcilerun.go (claims), survey.go (comparing servers with
// the registry), repair.go and strays.go; report.go has the result.
//
// A suspension: suspend.go, access.go, blockers.go (what to do about locks). An upgrade: upgrade.go, schema.go,
// database.go (clone), template.go and server.go. Databases that exist: adopt.go, adoptable.go, release.go. Databases
// made ahead: warm.go. Sessions that block others: watchdog.go, then blockers.go. Below all of these are
// catalogstate.go (whose a database is), claim.go, sessions.go (the administrator's), provisioner.go and config.go.
//
// # The administrator
//
// Config.Admin logs in to each server's direct endpoint with CREATEDB and CREATEROLE; it need not be a superuser. It
// owns no tenant's database: the NOLOGIN role "<prefix>_owner" does, of which it becomes a member. It must be the same
// role in all processes, because the privileges that later upgrades grant are those of objects that this role makes.
// With Config.SharedRole it needs CREATEROLE only if it has to make the roles that all tenants share.
//
// # The maintenance database
//
// Tenants' roles must not enter the maintenance database. When a server is prepared, the administrator takes the right
// to connect to it and to template1 from PUBLIC, if it owns them or is a superuser; otherwise it logs a warning. A role
// that is no superuser and needs one of them, of a monitor or another installation, must be granted CONNECT by name.
// What a tenant's role owns in other databases goes when the tenant is dropped.
//
// # Templates
//
// Each release that changes the schema makes a template, "<prefix>_template_<hash>". Those of other releases stay,
// because processes that are not replaced yet need them. When none does, an operator may drop them, after ALTER
// DATABASE … IS_TEMPLATE false.
//
// # Warm databases
//
// With Config.Warm, Run makes databases ahead of sign-ups, each under an id made ahead of time: name, role, password,
// access and comment are those of the tenant that it will be, and nothing is renamed. A sign-up without an id of its
// own takes one in the transaction of its intent; the seed and the activation are left to do. From then on the tenant
// is like any other.
//
// On a server, all processes together make one database of a schema at a time. Reconcile finishes what a process that
// died has begun, or drops it after Config.Attempts tries. When a release brings another schema, its processes make
// warm databases of their own; those of the older release are dropped a minute after its last process has ended.
//
// # How long a deletion takes
//
// DROP DATABASE waits until every process of the server has taken note of it. A stopped one holds it up, and so does a
// client that stalls while it logs in, for as long as the server's authentication_timeout (a minute by default; lower
// it where strangers can reach the port). Sign-ups do not wait: they drop nothing. A tenant that is being dropped keeps
// its row, and with it its name and e-mails, until the database is gone.
//
// # Errors
//
// Errors and log lines hold no password, e-mail, row value or connection string. From an error of PostgreSQL's remain
// the SQLSTATE, the names of objects and, where they cannot quote a value, message, detail and hint: errors.As finds a
// *pgconn.PgError with these. The error of a Seed or a SideEffect is returned as it is, unless it wraps an error of the
// driver.
package provision
