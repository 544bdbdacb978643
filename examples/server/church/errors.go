package church

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

var (
	// ErrNotFound is returned when there is no such record.
	ErrNotFound = errors.New("church: not found")

	// ErrInUse is returned when a record cannot be deleted because others need it.
	ErrInUse = errors.New("church: still in use")

	// ErrSent is returned when a message that was sent would have to change.
	ErrSent = errors.New("church: message is sent already")
)

// InputError names every field that is wrong, in the words of the JSON and of the forms.
type InputError struct{ Fields map[string]string }

// Error names the fields, not their values.
func (e *InputError) Error() string {
	return "church: bad input: " + strings.Join(slices.Sorted(maps.Keys(e.Fields)), ", ")
}

// violation says what the breach of a constraint means to the person that filled in the form; nothing, if they could
// not help it.
func violation(constraint string) (field, text string) {
	switch constraint {
	case "members_email_key":
		return "email", "is another member's"
	case "branches_name_key", "message_templates_name_key", "recurring_messages_name_key":
		return "name", "is in use already"
	case "members_branch_id_fkey", "messages_branch_id_fkey", "recurring_messages_branch_id_fkey":
		return "branchId", "is no branch of this church"
	case "messages_template_id_fkey", "recurring_messages_template_id_fkey":
		return "templateId", "is no template of this church"
	case "conversations_member_id_fkey":
		return "memberId", "is no member of this church"
	case "subscriptions_current_key":
		return "status", "must be cancelled while another subscription is not"
	}
	return "", ""
}

// QueryError is returned when a query fails. It has nothing of the driver's text, which may hold a row's values or a
// connection's configuration. It matches the end of ctx, or what tenancy says of the server, if that was the cause.
type QueryError struct {
	Code string // SQLSTATE; empty if the server did not answer
	end  error
	kind string
}

// Error describes the error as far as it is known.
func (e *QueryError) Error() string {
	if e.Code != "" {
		return "church: query: SQLSTATE " + e.Code
	}
	return "church: query: " + e.kind
}

// Unwrap returns the cause, if it may be known.
func (e *QueryError) Unwrap() error { return e.end }

// explain turns what pgx returned into an error of this package. It leaves those alone that it has explained before.
func explain(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrSent) {
		return err
	}
	if _, ok := errors.AsType[*InputError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*QueryError](err); ok {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	for _, end := range []error{
		context.Canceled, context.DeadlineExceeded, tenancy.ErrAtCapacity, tenancy.ErrServerDown, tenancy.ErrFenced,
	} {
		if errors.Is(err, end) {
			return &QueryError{end: end, kind: end.Error()}
		}
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainCode(pgErr)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok { // and no word from the server
		return &QueryError{end: tenancy.ErrServerDown, kind: tenancy.ErrServerDown.Error()}
	}
	return &QueryError{kind: fmt.Sprintf("%T", err)}
}

func explainCode(err *pgconn.PgError) error {
	if field, text := violation(err.ConstraintName); field != "" {
		return &InputError{Fields: map[string]string{field: text}}
	}
	if err.ConstraintName == "conversation_messages_conversation_id_fkey" {
		return ErrNotFound
	}
	return &QueryError{Code: err.Code}
}
