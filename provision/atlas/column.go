package atlas

import (
	"slices"

	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
)

// classifyColumn names what changes of a column, one item for each property.
func classifyColumn(table string, c *schema.ModifyColumn) []item {
	column := table + "." + c.To.Name
	var items []item
	add := func(kind schema.ChangeKind, name string, destructive bool) {
		items = append(items, item{name, destructive, &schema.ModifyColumn{From: c.From, To: c.To, Change: kind}})
	}
	for kind := schema.ChangeKind(1); kind <= c.Change; kind <<= 1 {
		if c.Change&kind == 0 {
			continue
		}
		switch kind {
		case schema.ChangeNull:
			if c.To.Type.Null {
				add(kind, "drop not null "+column, false)
			} else {
				add(kind, "set not null "+column, false) // fails if there are nulls
			}
		case schema.ChangeType:
			add(kind, "change type "+column+" to "+typeName(c.To.Type.Type), !widens(c.From.Type.Type, c.To.Type.Type))
		case schema.ChangeDefault:
			add(kind, "change default "+column, false)
		case schema.ChangeAttr:
			add(kind, "change identity "+column, false)
		case schema.ChangeComment:
			add(kind, "comment on column "+column, false)
		case schema.ChangeGenerated:
			add(kind, "drop expression "+column, true)
		default:
			items = append(items, unknown(c)...)
		}
	}
	return items
}

func typeName(t schema.Type) string {
	name, err := postgres.FormatType(t)
	if err != nil {
		return "an unknown type"
	}
	return name
}

// widens tells whether every value of a column of type from can be kept as it is when the type becomes to.
func widens(from, to schema.Type) bool {
	switch from := from.(type) {
	case *schema.IntegerType:
		sizes := []string{"smallint", "integer", "bigint"}
		a, b := slices.Index(sizes, typeName(from)), slices.Index(sizes, typeName(to))
		return a >= 0 && a < b
	case *schema.FloatType:
		return typeName(from) == "real" && typeName(to) == "double precision"
	case *schema.StringType:
		to, ok := to.(*schema.StringType)
		if !ok || !variable(from) || !variable(to) {
			return false
		}
		return to.Size == 0 || from.Size != 0 && from.Size <= to.Size
	case *schema.DecimalType:
		to, ok := to.(*schema.DecimalType)
		if !ok {
			return false
		}
		return to.Precision == 0 ||
			from.Precision != 0 && from.Scale <= to.Scale && from.Precision-from.Scale <= to.Precision-to.Scale
	}
	return false
}

// variable tells text and varchar from char, which is padded and compared in another way.
func variable(t *schema.StringType) bool {
	return slices.Contains([]string{"text", "character varying", "varchar"}, t.T)
}
