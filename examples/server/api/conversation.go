package api

import (
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
)

// say adds a message to a conversation, in the name of the signed-in admin.
func say(s church.Conversations) handler {
	return onPool(func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error {
		id, ok := authn.FromContext(r.Context())
		if !ok {
			return authn.ErrTokenMissing
		}
		var in church.SayingInput
		if err := decode(w, r, &in); err != nil {
			return err
		}
		said, err := s.Say(r.Context(), db, r.PathValue("id"), id.Subject, in)
		return answer(w, r, http.StatusCreated, said, err)
	})
}
