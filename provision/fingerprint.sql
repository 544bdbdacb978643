-- One row a line of the fingerprint: kind, name, definition.
--
-- Names are printed by PostgreSQL itself, so the caller must have fixed search_path and the other settings that change
-- what it prints. Object ids, owners, collected statistics, tablespaces and the order of a table's columns are left
-- out, and so is what belongs to an extension: its version stands for it.
--
-- PostgreSQL 14 to 18 differ in columns that are read here nowhere by name: what is new in a version (NULLS NOT
-- DISTINCT and SET NULL (columns) in 15, NOT ENFORCED and WITHOUT OVERLAPS in 18) is in the text of pg_get_indexdef and
-- pg_get_constraintdef, and rows whose columns were renamed (pg_collation in 15 and 17) are compared as JSON.
-- Three differences show:
--   pg_attribute.attstattarget and pg_statistic_ext.stxstattarget say "default" with -1 until 16, with NULL from 17 on;
--   NOT NULL has a row in pg_constraint from 18 on (of a domain: from 17 on). Its name is of no consequence, so only those
--   that say more than attnotnull (NOT VALID, NO INHERIT) have a line;
--   pg_attribute.attgenerated may be 'v' from 18 on, which needs nothing.
WITH extension_member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), ns AS MATERIALIZED (
  SELECT oid, quote_ident(nspname) AS name, nspacl, nspowner
  FROM pg_namespace
  WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = pg_namespace.oid)
), rel AS MATERIALIZED (
  SELECT c.oid, format('%s.%I', ns.name, c.relname) AS name, c.relkind, c.relpersistence, c.relrowsecurity,
         c.relforcerowsecurity, c.relreplident, c.relam, c.reloptions, c.reltoastrelid, c.relpartbound, c.relacl,
         c.relowner, c.reloftype
  FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
    AND NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
), typ AS MATERIALIZED (
  -- Row types of tables, arrays and multiranges come with what they belong to.
  SELECT t.*, format('%s.%I', ns.name, t.typname) AS name
  FROM pg_type t JOIN ns ON ns.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
  WHERE (c.oid IS NULL OR c.relkind = 'c')
    AND t.typsubscript <> 'array_subscript_handler'::regproc AND t.typtype <> 'm'
    AND NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
), fn AS MATERIALIZED (
  SELECT p.oid, p.prokind, p.proacl, p.proowner,
         format('%s.%I(%s)', ns.name, p.proname, pg_get_function_identity_arguments(p.oid)) AS name
  FROM pg_proc p JOIN ns ON ns.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
), line AS (
  SELECT 'schema' AS kind, name, '' AS def FROM ns

  UNION ALL
  SELECT CASE rel.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
           WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence'
           ELSE 'composite type' END,
         rel.name,
         concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'unlogged' END,
           CASE WHEN relrowsecurity THEN 'row security' END,
           CASE WHEN relforcerowsecurity THEN 'forced row security' END,
           CASE relreplident WHEN 'n' THEN 'replica identity nothing' WHEN 'f' THEN 'replica identity full' END,
           'using ' || (SELECT nullif(amname, 'heap') FROM pg_am WHERE pg_am.oid = relam),
           'of ' || nullif(reloftype, 0)::regtype,
           'with (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(reloptions) o) || ')',
           'toast (' || (SELECT string_agg(o, ', ' ORDER BY o)
                         FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = rel.reltoastrelid) || ')',
           CASE WHEN rel.relkind = 'p' THEN 'partition by ' || pg_get_partkeydef(rel.oid) END,
           pg_get_expr(relpartbound, rel.oid),
           CASE WHEN rel.relkind IN ('v', 'm') THEN pg_get_viewdef(rel.oid) END,
           (to_jsonb(s) - 'seqrelid')::text,
           (SELECT 'server ' || quote_ident(srvname) || ' ' || coalesce(ftoptions::text, '')
            FROM pg_foreign_table ft JOIN pg_foreign_server fs ON fs.oid = ft.ftserver WHERE ft.ftrelid = rel.oid),
           CASE WHEN rel.relkind = 'S' THEN
             (SELECT 'owned by ' || format('%s.%I', r.name, a.attname)
              FROM pg_depend d JOIN rel r ON r.oid = d.refobjid
              JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_class'::regclass AND d.objid = rel.oid
                AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) END)
  FROM rel LEFT JOIN pg_sequence s ON s.seqrelid = rel.oid

  UNION ALL
  SELECT 'inheritance', child.name, parent.name || CASE WHEN i.inhdetachpending THEN ' detaching' ELSE '' END
  FROM pg_inherits i JOIN rel child ON child.oid = i.inhrelid JOIN rel parent ON parent.oid = i.inhparent

  UNION ALL
  SELECT 'column', format('%s.%I', rel.name, a.attname),
         concat_ws(' ',
           -- The order of a composite type's attributes is part of how its values are written.
           CASE WHEN rel.relkind = 'c' THEN a.attnum || ':' END,
           format_type(a.atttypid, a.atttypmod),
           (SELECT format('collate %s.%I', n.nspname, co.collname)
            FROM pg_collation co JOIN pg_namespace n ON n.oid = co.collnamespace
            WHERE co.oid = a.attcollation AND a.attcollation <> t.typcollation),
           CASE WHEN a.attnotnull THEN 'not null' END,
           CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
           CASE a.attgenerated WHEN '' THEN 'default ' ELSE 'generated ' || a.attgenerated::text || ' ' END
             || pg_get_expr(d.adbin, d.adrelid),
           CASE WHEN a.attstorage <> t.typstorage THEN 'storage ' || a.attstorage::text END,
           'compression ' || nullif(a.attcompression::text, ''),
           'statistics ' || nullif(a.attstattarget, -1),
           a.attoptions::text, a.attfdwoptions::text)
  FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped AND rel.relkind <> 'S'

  UNION ALL
  SELECT 'constraint', format('%s.%I', coalesce(rel.name, typ.name), co.conname),
         pg_get_constraintdef(co.oid)
  FROM pg_constraint co LEFT JOIN rel ON rel.oid = co.conrelid LEFT JOIN typ ON typ.oid = co.contypid
  WHERE (rel.oid IS NOT NULL OR typ.oid IS NOT NULL)
    AND NOT (co.contype = 'n' AND co.convalidated AND (co.contypid <> 0 OR NOT co.connoinherit))

  UNION ALL
  SELECT 'index', format('%s.%I', ns.name, c.relname),
         concat_ws(' ', CASE WHEN NOT i.indisvalid THEN '(invalid)' END, CASE WHEN i.indisclustered THEN '(clustered)' END,
           CASE WHEN i.indisreplident THEN '(replica identity)' END, pg_get_indexdef(i.indexrelid))
  FROM pg_index i JOIN rel ON rel.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
  JOIN ns ON ns.oid = c.relnamespace

  UNION ALL
  SELECT CASE typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'type' END, typ.name,
         concat_ws(' ',
           (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = typ.oid),
           CASE WHEN typtype = 'd' THEN concat_ws(' ', format_type(typbasetype, typtypmod),
             CASE WHEN typnotnull THEN 'not null' END, 'default ' || typdefault,
             (SELECT format('collate %s.%I', n.nspname, co.collname)
              FROM pg_collation co JOIN pg_namespace n ON n.oid = co.collnamespace
              WHERE co.oid = typcollation AND typcollation <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = typ.typbasetype))) END,
           (SELECT concat_ws(' ', rngsubtype::regtype, nullif(rngcanonical, 0), nullif(rngsubdiff, 0), rngcollation::regcollation)
            FROM pg_range WHERE rngtypid = typ.oid),
           CASE WHEN typtype = 'b' THEN concat_ws(' ', typinput, typoutput, typlen, typstorage) END)
  FROM typ WHERE typtype <> 'c'

  UNION ALL
  SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, fn.name,
         CASE WHEN prokind = 'a'
           THEN (SELECT (to_jsonb(a) - '{aggfnoid,aggtranstype,aggmtranstype,aggsortop}'::text[])::text
                   || concat_ws(' ', '', aggtranstype::regtype, aggmtranstype::regtype, aggsortop::regoper)
                 FROM pg_aggregate a WHERE a.aggfnoid = fn.oid)
           ELSE pg_get_functiondef(fn.oid) END
  FROM fn

  UNION ALL
  SELECT 'trigger', format('%s.%I', rel.name, tgname),
         CASE tgenabled WHEN 'O' THEN '' ELSE '(enabled ' || tgenabled::text || ') ' END || pg_get_triggerdef(t.oid)
  FROM pg_trigger t JOIN rel ON rel.oid = t.tgrelid WHERE NOT tgisinternal

  UNION ALL
  SELECT 'policy', format('%s.%I', rel.name, polname),
         concat_ws(' ', CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END, polcmd,
           'to ' || (SELECT string_agg(coalesce(quote_ident(rolname), 'public'), ', ' ORDER BY rolname)
                     FROM unnest(polroles) o LEFT JOIN pg_roles ON pg_roles.oid = o),
           'using ' || pg_get_expr(polqual, polrelid), 'with check ' || pg_get_expr(polwithcheck, polrelid))
  FROM pg_policy JOIN rel ON rel.oid = polrelid

  UNION ALL
  SELECT 'rule', format('%s.%I', rel.name, rulename),
         CASE ev_enabled WHEN 'O' THEN '' ELSE '(enabled ' || ev_enabled::text || ') ' END || pg_get_ruledef(r.oid)
  FROM pg_rewrite r JOIN rel ON rel.oid = r.ev_class WHERE rulename <> '_RETURN'

  UNION ALL
  SELECT 'statistics', format('%s.%I', ns.name, stxname),
         concat_ws(' ', pg_get_statisticsobjdef(s.oid), 'target ' || nullif(stxstattarget, -1))
  FROM pg_statistic_ext s JOIN ns ON ns.oid = s.stxnamespace

  UNION ALL
  SELECT 'extension', quote_ident(extname), extversion || ' in ' || quote_ident(nspname)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace

  UNION ALL
  SELECT 'collation', format('%s.%I', ns.name, collname),
         (to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[])::text
  FROM pg_collation c JOIN ns ON ns.oid = c.collnamespace
  WHERE NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = 'pg_collation'::regclass AND m.objid = c.oid)

  UNION ALL
  SELECT 'event trigger', quote_ident(evtname), concat_ws(' ', evtevent, evtfoid::regprocedure, evtenabled, evttags::text)
  FROM pg_event_trigger e
  WHERE NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid)

  UNION ALL
  SELECT 'object', pg_describe_object(o.classid, o.oid, 0), o.def
  FROM (
    SELECT 'pg_operator'::regclass, oid, concat_ws(' ', oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest,
           oprjoin, oprcanhash, oprcanmerge) FROM pg_operator
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, '' FROM pg_opfamily
    UNION ALL SELECT 'pg_opclass'::regclass, oid, concat_ws(' ', opcintype::regtype, opcdefault) FROM pg_opclass
    UNION ALL SELECT 'pg_amop'::regclass, oid, '' FROM pg_amop
    UNION ALL SELECT 'pg_amproc'::regclass, oid, '' FROM pg_amproc
    UNION ALL SELECT 'pg_cast'::regclass, oid, concat_ws(' ', castfunc::regprocedure, castcontext, castmethod) FROM pg_cast
    UNION ALL SELECT 'pg_conversion'::regclass, oid, concat_ws(' ', conproc, condefault) FROM pg_conversion
    UNION ALL SELECT 'pg_language'::regclass, oid, concat_ws(' ', lanpltrusted) FROM pg_language
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, coalesce(dictinitoption, '') FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_config'::regclass, oid,
           (SELECT string_agg(concat_ws(' ', maptokentype, mapseqno, mapdict::regdictionary), ', '
                              ORDER BY maptokentype, mapseqno) FROM pg_ts_config_map WHERE mapcfg = c.oid)
           FROM pg_ts_config c WHERE c.oid >= 16384
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, coalesce(fdwoptions::text, '') FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_foreign_server'::regclass, oid, concat_ws(' ', srvtype, srvversion, srvoptions) FROM pg_foreign_server
  ) o (classid, oid, def)
  -- Objects below 16384 are PostgreSQL's own (FirstNormalObjectId in access/transam.h).
  WHERE o.oid >= 16384
    AND NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = o.classid AND m.objid = o.oid)

  UNION ALL
  -- Privileges of PUBLIC and of group roles. The owner's own, and those of roles that can log in (a tenant's, an
  -- operator's), belong to the place and not to the schema.
  SELECT 'grant', format('%s to %s', a.name, coalesce(quote_ident(r.rolname), 'PUBLIC')),
         string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ', ' ORDER BY x.privilege_type)
  FROM (
    SELECT 'schema ' || name, coalesce(nspacl, acldefault('n', nspowner)), nspowner FROM ns
    UNION ALL SELECT name, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)), relowner
      FROM rel WHERE relkind <> 'c'
    UNION ALL SELECT format('%s.%I', rel.name, attname), attacl, relowner
      FROM pg_attribute JOIN rel ON rel.oid = attrelid WHERE attacl IS NOT NULL AND NOT attisdropped
    UNION ALL SELECT name, coalesce(proacl, acldefault('f', proowner)), proowner FROM fn
    UNION ALL SELECT 'type ' || name, coalesce(typacl, acldefault('T', typowner)), typowner FROM typ
    UNION ALL SELECT 'server ' || quote_ident(srvname), srvacl, srvowner FROM pg_foreign_server
    UNION ALL SELECT 'language ' || quote_ident(lanname), lanacl, lanowner FROM pg_language WHERE oid >= 16384
  ) a (name, acl, owner), aclexplode(a.acl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
  WHERE x.grantee <> a.owner AND (x.grantee = 0 OR NOT r.rolcanlogin)
  GROUP BY a.name, r.rolname

  UNION ALL
  SELECT 'default grant', concat_ws(' ', ns.name, d.defaclobjtype, 'to', coalesce(quote_ident(r.rolname), 'PUBLIC')),
         string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ', ' ORDER BY x.privilege_type)
  FROM pg_default_acl d LEFT JOIN ns ON ns.oid = d.defaclnamespace, aclexplode(d.defaclacl) x
  LEFT JOIN pg_roles r ON r.oid = x.grantee
  WHERE x.grantee <> d.defaclrole AND (x.grantee = 0 OR NOT r.rolcanlogin)
  GROUP BY ns.name, d.defaclobjtype, r.rolname

  UNION ALL
  SELECT 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), quote_literal(d.description)
  FROM pg_description d
  WHERE (d.objoid >= 16384 OR d.classoid = 'pg_namespace'::regclass AND d.objoid IN (SELECT oid FROM ns))
    AND NOT EXISTS (SELECT FROM extension_member m WHERE m.classid = d.classoid AND m.objid = d.objoid)
)
SELECT kind || ' ' || name || ': ' || CASE
    -- Long texts are known by their beginning and their digest.
    WHEN length(def) > 240 OR def ~ '[\n\r]' THEN regexp_replace(left(def, 80), '\s+', ' ', 'g') || '… md5 ' || md5(def)
    ELSE coalesce(def, '') END
FROM line
