package atlas

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"

	"github.com/pgtenancy/pgtenancy/provision"
)

// item is one change by itself: what it is called, and whether it loses data or a guarantee.
type item struct {
	name        string
	destructive bool
	change      schema.Change // as Atlas plans it by itself
}

// describe lists changes one by one, each with the SQL that it comes to by itself. Atlas puts several changes of one
// table into one statement when it makes them.
func describe(ctx context.Context, planner migrate.PlanApplier, changes []schema.Change) []provision.Change {
	var described []provision.Change
	for _, change := range changes {
		for _, i := range classify(change) {
			d := provision.Change{Name: i.name, Destructive: i.destructive}
			// A change that cannot be planned by itself has no SQL of its own, and fails with the others.
			if plan, err := planner.PlanChanges(ctx, i.name, []schema.Change{i.change}); err == nil {
				d.SQL = statements(plan)
			}
			described = append(described, d)
		}
	}
	return described
}

func statements(plan *migrate.Plan) string {
	lines := make([]string, len(plan.Changes))
	for i, c := range plan.Changes {
		lines[i] = c.Cmd
	}
	return strings.Join(lines, ";\n")
}

const unknownChange = "unknown change "

// unknown is a change of a kind that this package does not know. No policy allows it.
func unknown(c schema.Change) []item {
	return []item{{name: unknownChange + fmt.Sprintf("%T", c), destructive: true, change: c}}
}

func isUnknown(c provision.Change) bool { return strings.HasPrefix(c.Name, unknownChange) }

// classify names a change of the schema's, or the changes of a table's one by one.
func classify(c schema.Change) []item {
	switch c := c.(type) {
	case *schema.AddTable:
		return []item{{"add table " + c.T.Name, false, c}}
	case *schema.DropTable:
		return []item{{"drop table " + c.T.Name, true, c}}
	case *schema.ModifyTable:
		var items []item
		for _, sub := range c.Changes {
			for _, i := range classifyTable(c.T.Name, sub) {
				i.change = &schema.ModifyTable{T: c.T, Changes: []schema.Change{i.change}}
				items = append(items, i)
			}
		}
		return items
	case *schema.AddObject:
		if e, ok := c.O.(*schema.EnumType); ok {
			return []item{{"add enum " + e.T, false, c}}
		}
	case *schema.DropObject:
		if e, ok := c.O.(*schema.EnumType); ok {
			return []item{{"drop enum " + e.T, true, c}}
		}
	case *schema.ModifyObject:
		from, ok1 := c.From.(*schema.EnumType)
		to, ok2 := c.To.(*schema.EnumType)
		if ok1 && ok2 {
			return classifyEnum(c, from, to)
		}
	case *schema.ModifySchema:
		if !slices.ContainsFunc(c.Changes, func(sub schema.Change) bool { return !isComment(sub) }) {
			return []item{{"comment on schema " + c.S.Name, false, c}}
		}
	}
	return unknown(c)
}

// classifyEnum names the values that come and go. Atlas makes nothing of a value that goes, so that a plan that was
// allowed to lose one fails at Verify.
func classifyEnum(c schema.Change, from, to *schema.EnumType) []item {
	var items []item
	for _, v := range from.Values {
		if !slices.Contains(to.Values, v) {
			items = append(items, item{"drop enum value " + from.T + "." + v, true, c})
		}
	}
	for _, v := range to.Values {
		if !slices.Contains(from.Values, v) {
			items = append(items, item{"add enum value " + to.T + "." + v, false, c})
		}
	}
	if items == nil { // another order
		return unknown(c)
	}
	return items
}

// classifyTable names a change inside a table.
func classifyTable(table string, c schema.Change) []item {
	in := func(verb, name string, destructive bool) []item {
		return []item{{verb + " " + table + "." + name, destructive, c}}
	}
	switch c := c.(type) {
	case *schema.AddColumn:
		return in("add column", c.C.Name, false)
	case *schema.DropColumn:
		return in("drop column", c.C.Name, true)
	case *schema.ModifyColumn:
		return classifyColumn(table, c)
	case *schema.AddIndex:
		return in("add "+indexKind(c.I), c.I.Name, false)
	case *schema.DropIndex:
		return in("drop "+indexKind(c.I), c.I.Name, guarantees(c.I))
	case *schema.ModifyIndex:
		return in("change "+indexKind(c.From), c.From.Name, guarantees(c.From) && c.Change != schema.ChangeComment)
	case *schema.AddPrimaryKey:
		return []item{{"add primary key " + table, false, c}}
	case *schema.DropPrimaryKey:
		return []item{{"drop primary key " + table, true, c}}
	case *schema.ModifyPrimaryKey:
		return []item{{"change primary key " + table, c.Change != schema.ChangeComment, c}}
	case *schema.AddForeignKey:
		return in("add foreign key", c.F.Symbol, false)
	case *schema.DropForeignKey:
		return in("drop foreign key", c.F.Symbol, true)
	case *schema.ModifyForeignKey:
		actions := schema.ChangeUpdateAction | schema.ChangeDeleteAction
		return in("change foreign key", c.From.Symbol, c.Change&^actions != schema.NoChange)
	case *schema.AddCheck:
		return in("add check", c.C.Name, false)
	case *schema.DropCheck:
		return in("drop check", c.C.Name, true)
	case *schema.ModifyCheck:
		// The new condition takes the old one's place, and every row is checked against it.
		return in("change check", c.From.Name, false)
	}
	if isComment(c) {
		return []item{{"comment on table " + table, false, c}}
	}
	return unknown(c)
}

func indexKind(i *schema.Index) string {
	switch {
	case i.Unique:
		return "unique"
	case excludes(i):
		return "exclusion"
	}
	return "index"
}

// guarantees reports whether an index keeps rows out, and does not only make queries fast.
func guarantees(i *schema.Index) bool { return i.Unique || excludes(i) }

// excludes reports whether an index is that of an exclusion constraint.
func excludes(i *schema.Index) bool {
	return slices.ContainsFunc(i.Attrs, func(a schema.Attr) bool {
		c, ok := a.(*postgres.Constraint)
		return ok && c.IsExclude()
	})
}

func isComment(c schema.Change) bool {
	var attr schema.Attr
	switch c := c.(type) {
	case *schema.AddAttr:
		attr = c.A
	case *schema.ModifyAttr:
		attr = c.To
	}
	_, ok := attr.(*schema.Comment)
	return ok
}
