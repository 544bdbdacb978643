package middleware_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// answered is an exported error and its answer.
type answered struct {
	err    error
	status int
}

// answers are all exported errors of the library. 500 is for errors of the service and not of a request: an
// operator, and no client, can do something about them.
func answers() map[string]answered {
	return map[string]answered{
		"tenancy.ErrInvalidID":    {tenancy.ErrInvalidID, 404},
		"tenancy.ErrNotFound":     {tenancy.ErrNotFound, 404},
		"tenancy.ErrAtCapacity":   {tenancy.ErrAtCapacity, 503},
		"tenancy.ErrServerDown":   {tenancy.ErrServerDown, 503},
		"tenancy.ErrFenced":       {tenancy.ErrFenced, 503},
		"tenancy.ErrReleased":     {tenancy.ErrReleased, 500},
		"tenancy.ErrClosed":       {tenancy.ErrClosed, 503},
		"tenancy.ErrEvicted":      {tenancy.ErrEvicted, 503},
		"tenancy.ErrNotActive":    {tenancy.ErrNotActive, 503},
		"tenancy.ErrProvisioning": {tenancy.ErrProvisioning, 503},
		"tenancy.ErrSuspended":    {tenancy.ErrSuspended, 403},
		"tenancy.ErrMoving":       {tenancy.ErrMoving, 503},
		"tenancy.ErrDeleting":     {tenancy.ErrDeleting, 404},
		"tenancy.ErrFailing":      {tenancy.ErrFailing, 404},
		"tenancy.StateError":      {&tenancy.StateError{ID: "acme", State: tenancy.Suspended}, 403},
		"tenancy.PanicError":      {&tenancy.PanicError{}, 500}, // 503 with middleware.ErrUnavailable, from a resolver

		"authn.ErrBusy":             {authn.ErrBusy, 503},
		"authn.ErrPasswordInvalid":  {authn.ErrPasswordInvalid, 422},
		"authn.ErrPasswordTooShort": {authn.ErrPasswordTooShort, 422},
		"authn.ErrPasswordTooLong":  {authn.ErrPasswordTooLong, 422},
		"authn.ErrPasswordCommon":   {authn.ErrPasswordCommon, 422},
		"authn.ErrPasswordContext":  {authn.ErrPasswordContext, 422},
		"authn.ErrPasswordBreached": {authn.ErrPasswordBreached, 422},
		"authn.ErrInvalidHash":      {authn.ErrInvalidHash, 500},
		"authn.ErrTokenMissing":     {authn.ErrTokenMissing, 401},
		"authn.ErrTokenExpired":     {authn.ErrTokenExpired, 401},
		"authn.ErrTokenInvalid":     {authn.ErrTokenInvalid, 401},

		"accounts.ErrBadCredentials":  {accounts.ErrBadCredentials, 401},
		"accounts.ErrBadCode":         {accounts.ErrBadCode, 401},
		"accounts.ErrForbidden":       {accounts.ErrForbidden, 403},
		"accounts.ErrInvalidTicket":   {accounts.ErrInvalidTicket, 401},
		"accounts.ErrInvalidToken":    {accounts.ErrInvalidToken, 422},
		"accounts.ErrLastPrimary":     {accounts.ErrLastPrimary, 409},
		"accounts.ErrUnfinished":      {accounts.ErrUnfinished, 503},
		"accounts.ErrUnverified":      {accounts.ErrUnverified, 403},
		"accounts.ChoiceError":        {&accounts.ChoiceError{}, 409},
		"accounts.SecondFactorError":  {&accounts.SecondFactorError{}, 401},
		"catalog.ErrInvalidToken":     {catalog.ErrInvalidToken, 422},
		"catalog.ErrInvalidTicket":    {catalog.ErrInvalidTicket, 401},
		"catalog.ErrLastPrimary":      {catalog.ErrLastPrimary, 409},
		"accounts.ErrThrottled":       {accounts.ErrThrottled, 429},
		"accounts.ThrottledError":     {&accounts.ThrottledError{}, 429},
		"accounts.ErrNotSignedIn":     {accounts.ErrNotSignedIn, 503},
		"accounts.ErrProfileNotFound": {accounts.ErrProfileNotFound, 401},
		"accounts.ErrPasswordChanged": {accounts.ErrPasswordChanged, 409},
		"accounts.ErrSessionsOpen":    {accounts.ErrSessionsOpen, 500},
		"accounts.InputError":         {&accounts.InputError{Fields: map[string]string{"email": "is wrong"}}, 422},

		"registry.ErrInvalidEmail":   {registry.ErrInvalidEmail, 422},
		"registry.ErrEmailBusy":      {registry.ErrEmailBusy, 503},
		"registry.ErrEmailTaken":     {registry.ErrEmailTaken, 409},
		"registry.ErrIDTaken":        {registry.ErrIDTaken, 409},
		"registry.ErrNoServer":       {registry.ErrNoServer, 503},
		"catalog.ErrNotWanted":       {catalog.ErrNotWanted, 500},
		"registry.ErrKeyReused":      {registry.ErrKeyReused, 422},
		"catalog.ErrClaimLost":       {catalog.ErrClaimLost, 503},
		"registry.ErrAliasTaken":     {registry.ErrAliasTaken, 409},
		"registry.ErrInvalidAlias":   {registry.ErrInvalidAlias, 422},
		"registry.ErrInvalidLabel":   {registry.ErrInvalidLabel, 422},
		"registry.ErrNoIndexKey":     {registry.ErrNoIndexKey, 500},
		"registry.ErrConflict":       {registry.ErrConflict, 409},
		"registry.ErrAdminNotFound":  {registry.ErrAdminNotFound, 401},
		"registry.ErrWrongKeys":      {registry.ErrWrongKeys, 500},
		"registry.ErrServerNotFound": {registry.ErrServerNotFound, 404},
		"accounts.ErrInvalidSession": {accounts.ErrInvalidSession, 401},
		"catalog.ErrInvalidSession":  {catalog.ErrInvalidSession, 401},
		"accounts.ErrSessionReused":  {accounts.ErrSessionReused, 401},
		"catalog.ErrSessionReused":   {catalog.ErrSessionReused, 401},
		"registry.ErrSecretRef":      {registry.ErrSecretRef, 503},
		"catalog.ReplayError":        {&catalog.ReplayError{}, 409},

		"registry.UnsignedServerError": {&registry.UnsignedServerError{}, 503},

		"provision.ErrTenantObjects":     {provision.ErrTenantObjects, 500},
		"provision.InUseError":           {&provision.InUseError{}, 500},
		"provision.AdoptError":           {&provision.AdoptError{}, 409},
		"provision.ErrFailedBefore":      {provision.ErrFailedBefore, 409},
		"provision.ErrNotOurs":           {provision.ErrNotOurs, 500},
		"provision.ErrSharedRole":        {provision.ErrSharedRole, 500},
		"provision.ErrPublicSchema":      {provision.ErrPublicSchema, 500},
		"provision.ErrNotVerified":       {provision.ErrNotVerified, 500},
		"provision.ErrSideEffectUnknown": {provision.ErrSideEffectUnknown, 500},
		"provision.DestructiveError":     {&provision.DestructiveError{}, 500},
		"provision.SchemaMismatchError":  {&provision.SchemaMismatchError{}, 500},
		"provision.PanicError":           {&provision.PanicError{}, 500},

		"atlas.ErrNoBinary":      {atlas.ErrNoBinary, 500},
		"atlas.ErrLocked":        {atlas.ErrLocked, 500},
		"atlas.ErrNoRevisions":   {atlas.ErrNoRevisions, 500},
		"atlas.HistoryError":     {&atlas.HistoryError{}, 500},
		"atlas.UnsupportedError": {&atlas.UnsupportedError{}, 500},
		"atlas.CommandError":     {&atlas.CommandError{}, 500},

		"middleware.ErrMiswired":       {middleware.ErrMiswired, 500},
		"middleware.ErrBodyTooLarge":   {middleware.ErrBodyTooLarge, 413},
		"middleware.ErrBodyIncomplete": {middleware.ErrBodyIncomplete, 400},
		"middleware.ErrNoTenant":       {middleware.ErrNoTenant, 404},
		"middleware.ErrMisaddressed":   {middleware.ErrMisaddressed, 404},
		"middleware.ErrTenantMismatch": {middleware.ErrTenantMismatch, 404},
		"middleware.ErrUnavailable":    {middleware.ErrUnavailable, 503},
	}
}

// grpcCodes are the codes of the statuses, as https://grpc.io/docs/guides/status-codes numbers them.
func grpcCodes() map[int]uint32 {
	return map[int]uint32{400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 413: 3, 422: 3, 429: 8, 500: 13, 503: 14}
}

func TestEveryExportedErrorHasAnAnswer(t *testing.T) {
	t.Parallel()
	known := answers()
	seen := 0
	for _, dir := range []string{
		"tenancy", "authn", "authn/accounts", "authn/jwks", "registry", "registry/keyring", "internal/catalog",
		"provision", "provision/atlas", "fleet", "middleware",
	} {
		for _, name := range exportedErrors(t, filepath.Join("..", dir)) {
			seen++
			if _, ok := known[filepath.Base(dir)+"."+name]; !ok {
				t.Errorf("%s.%s has no answer: give it an HTTPStatus, or 500 in this table if no client can mend it",
					filepath.Base(dir), name)
			}
		}
	}
	if seen != len(known) {
		t.Errorf("%d errors are exported, %d are in the table", seen, len(known))
	}
	for name, a := range known {
		if got := middleware.StatusCode(a.err); got != a.status {
			t.Errorf("%s: %d, want %d", name, got, a.status)
		}
		if got := middleware.StatusCode(fmt.Errorf("create tenant: %w", a.err)); got != a.status {
			t.Errorf("%s, wrapped: %d, want %d", name, got, a.status)
		}
		if got := middleware.GRPCCode(fmt.Errorf("create tenant: %w", a.err)); got != grpcCodes()[a.status] {
			t.Errorf("%s: gRPC's code %d, want %d", name, got, grpcCodes()[a.status])
		}
		w := httptest.NewRecorder()
		middleware.WriteProblem(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), a.err)
		header := w.Header()
		if w.Code != a.status || (header.Get("Retry-After") != "") != (w.Code == 503 || w.Code == 429) ||
			(header.Get("WWW-Authenticate") != "") != (w.Code == 401) {
			t.Errorf("%s: answered %d with %v", name, w.Code, header)
		}
		if body := w.Body.String(); w.Code == 422 && !strings.Contains(body, `"fields"`) &&
			!strings.Contains(body, `"detail"`) && name != "registry.ErrKeyReused" {
			t.Errorf("%s: the answer names no field and has no detail: %s", name, body)
		}
	}
}

// exportedErrors returns the names of the sentinels and the error types of a package.
func exportedErrors(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go in %s: %v", dir, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range s.Names {
						if general.Tok == gotoken.VAR && strings.HasPrefix(name.Name, "Err") {
							names = append(names, name.Name)
						}
					}
				case *ast.TypeSpec:
					if s.Name.IsExported() && strings.HasSuffix(s.Name.Name, "Error") {
						names = append(names, s.Name.Name)
					}
				}
			}
		}
	}
	return names
}
