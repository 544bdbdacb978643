package connstring_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/connstring"
)

func TestRemoveKeepsEverythingButTheString(t *testing.T) {
	t.Parallel()
	cc, err := pgx.ParseConfig("postgres://app:pw@db1,db2:5433/base?sslmode=prefer&application_name=x&statement_cache_capacity=7" +
		"&default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	got, err := connstring.Remove(cc)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.ConnString(); s != connstring.Nowhere || got.Copy().ConnString() != s {
		t.Errorf("ConnString %q", s)
	}
	want, have := reflect.ValueOf(cc).Elem(), reflect.ValueOf(got).Elem()
	for i := range want.NumField() {
		f := want.Type().Field(i)
		if f.IsExported() && f.Name != "Config" && !reflect.DeepEqual(want.Field(i).Interface(), have.Field(i).Interface()) {
			t.Errorf("%s was lost", f.Name)
		}
	}
	for i := range want.FieldByName("Config").NumField() {
		f := want.FieldByName("Config").Type().Field(i)
		w, h := want.FieldByName("Config").Field(i), have.FieldByName("Config").Field(i)
		if w.IsZero() != h.IsZero() || f.Type.Comparable() && f.Type.Kind() != reflect.Pointer && !w.Equal(h) {
			t.Errorf("Config.%s was lost", f.Name)
		}
	}
}

func TestNowhereLeadsNowhere(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), connstring.Nowhere)
	if err == nil {
		_ = conn.Close(context.WithoutCancel(t.Context()))
		t.Fatal("it leads somewhere")
	}
	if !strings.Contains(err.Error(), "no-connection-string-use-the-config-itself") {
		t.Errorf("the error does not say why: %v", err)
	}
}
