package api

import (
	"errors"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// tenant proves where the caller is: it answers with what the registry says and with what the database itself says.
func tenant(w http.ResponseWriter, r *http.Request) error {
	lease, ok := tenancy.FromContext(r.Context())
	if !ok {
		return authn.ErrTokenMissing
	}
	current, err := church.Database(r.Context(), lease.Pool())
	if err != nil {
		return err
	}
	t := lease.Tenant()
	return encode(w, r, http.StatusOK, map[string]string{
		"id": t.ID.String(), "database": t.Endpoint.Database, "currentDatabase": current, "schemaHash": t.SchemaHash,
	})
}

// deleteChurch deletes the caller's church with everything it has. It holds no lease: the database is about to go.
func (a *api) deleteChurch(w http.ResponseWriter, r *http.Request) error {
	id, ok := authn.FromContext(r.Context())
	if !ok {
		return authn.ErrTokenMissing
	}
	if id.Role != accounts.RolePrimary {
		return errForbidden
	}
	var in struct {
		Password string `json:"password"`
	}
	if err := decodeUpTo(maxCredentials, w, r, &in); err != nil {
		return err
	}
	err := a.cfg.Accounts.CheckPassword(r.Context(), id, in.Password)
	if errors.Is(err, accounts.ErrBadCredentials) {
		return wrongField("password", "is not your password")
	}
	if err != nil {
		return err
	}
	if err := a.cfg.Provisioner.Drop(r.Context(), tenancy.ID(id.Tenant)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
