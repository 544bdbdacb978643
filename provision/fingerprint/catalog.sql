-- One statement for each kind of object. A row is its kind, its name, and the parts of its definition, all of them text
-- or printed as text.
--
-- Names are printed by PostgreSQL itself, so the caller must have fixed search_path and the other settings that change
-- what it prints. Left out are object ids, owners, collected statistics, tablespaces, the order of a table's columns, what
-- is temporary, and what belongs to an extension: its version stands for it. An object with an id of 16384 or more is not
-- PostgreSQL's own (FirstNormalObjectId in access/transam.h), which an index can tell.
--
-- On a fresh connection most of the time goes into parsing and planning: a statement joins little, and the caller puts
-- the parts together.
--
-- What is new in a version (NULLS NOT DISTINCT in 15, NOT ENFORCED and WITHOUT OVERLAPS in 18) is mostly in the text of
-- pg_get_indexdef and its like, and rows whose columns change are compared as JSON. A line that only some versions
-- understand ends in "-- since 15" or "-- before 15". $extension(x) are the ids of the objects of catalogue x that
-- belong to an extension, $temporary(x) tells whether namespace x is a temporary one.

SELECT 'schema', quote_ident(nspname)
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND oid NOT IN $extension(pg_namespace);

SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
         WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'composite type' END,
       oid::regclass,
       CASE relpersistence WHEN 'u' THEN 'unlogged' END,
       CASE WHEN relrowsecurity THEN 'row security' END,
       CASE WHEN relforcerowsecurity THEN 'forced row security' END,
       CASE relreplident WHEN 'n' THEN 'replica identity nothing' WHEN 'f' THEN 'replica identity full' END,
       'using ' || (SELECT quote_ident(amname) FROM pg_am WHERE pg_am.oid = relam AND amname <> 'heap'),
       'of ' || nullif(reloftype, 0)::regtype,
       'with (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(reloptions) o) || ')',
       'toast (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM pg_class t, unnest(t.reloptions) o
                     WHERE t.oid = c.reltoastrelid) || ')',
       CASE WHEN relkind = 'p' THEN 'partition by ' || pg_get_partkeydef(oid) END,
       pg_get_expr(relpartbound, oid),
       CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END,
       CASE WHEN relkind = 'f' THEN (SELECT concat_ws(' ', 'server', quote_ident(srvname), ftoptions)
         FROM pg_foreign_table JOIN pg_foreign_server s ON s.oid = ftserver WHERE ftrelid = c.oid) END
FROM pg_class c
WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND relpersistence <> 't'
  AND oid NOT IN $extension(pg_class);

SELECT 'sequence', oid::regclass, CASE relpersistence WHEN 'u' THEN 'unlogged' END, (to_jsonb(s) - 'seqrelid')::text,
       (SELECT format('owned by %s.%I', refobjid::regclass, attname)
        FROM pg_depend d JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
        WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i'))
FROM pg_sequence s JOIN pg_class ON oid = seqrelid
WHERE seqrelid >= 16384 AND relpersistence <> 't' AND seqrelid NOT IN $extension(pg_class);

-- Of tables and of indexes.
SELECT 'inheritance', inhrelid::regclass, inhparent::regclass, CASE WHEN inhdetachpending THEN 'detaching' END
FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE relpersistence <> 't' AND inhrelid NOT IN $extension(pg_class);

-- A composite type's attributes are numbered, because their order is part of how its values are written. What is its
-- table's own as well as inherited stays when the parent loses it; a partition has nothing else than its parent.
SELECT 'column', attrelid::regclass || '.' || quote_ident(attname),
       CASE WHEN relkind = 'c' THEN (SELECT count(*) || ':' FROM pg_attribute b
         WHERE b.attrelid = a.attrelid AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped) END,
       format_type(atttypid, atttypmod),
       CASE WHEN attcollation <> typcollation THEN 'collate ' || attcollation::regcollation END,
       CASE WHEN attnotnull THEN 'not null' END,
       CASE attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
       CASE attgenerated WHEN '' THEN 'default ' ELSE 'generated ' || attgenerated::text || ' ' END || pg_get_expr(adbin, adrelid),
       'storage ' || CASE WHEN attstorage <> typstorage THEN attstorage::text END,
       'compression ' || nullif(attcompression::text, ''),
       'statistics ' || nullif(attstattarget, -1), -- NULL from 17 on
       CASE WHEN attinhcount > 0 AND attislocal AND NOT relispartition THEN '(also its own)' END,
       attoptions::text, attfdwoptions::text
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_type t ON t.oid = atttypid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
  AND relpersistence <> 't' AND attrelid NOT IN $extension(pg_class);

-- From 18 on (of a domain: from 17 on) NOT NULL has a row too. One has a line if it says more than attnotnull: NOT VALID, NO
-- INHERIT, or a name that somebody gave it. A name that PostgreSQL made up is of no consequence: it keeps the name that
-- a table or column once had, but not through an upgrade from an older version.
SELECT 'constraint', CASE conrelid WHEN 0 THEN contypid::regtype::text ELSE conrelid::regclass::text END || '.' || quote_ident(conname),
       pg_get_constraintdef(oid), CASE WHEN contype = 'c' AND coninhcount > 0 AND conislocal THEN '(also its own)' END
FROM pg_constraint
WHERE oid >= 16384 AND NOT $temporary(connamespace)
  AND NOT (contype = 'n' AND convalidated AND (contypid <> 0 OR NOT connoinherit)
           AND (conname ~ '_not_null[0-9]*$' OR coninhcount > 0 AND NOT conislocal))
  AND conrelid NOT IN $extension(pg_class) AND contypid NOT IN $extension(pg_type);

SELECT 'index', indexrelid::regclass, CASE WHEN NOT indisvalid THEN '(invalid)' END,
       CASE WHEN indisclustered THEN '(clustered)' END, CASE WHEN indisreplident THEN '(replica identity)' END,
       pg_get_indexdef(indexrelid),
       (SELECT string_agg(attnum || ' statistics ' || attstattarget, ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = indexrelid AND attstattarget >= 0)
FROM pg_index JOIN pg_class ON oid = indrelid
WHERE indrelid >= 16384 AND relkind IN ('r', 'p', 'm') AND relpersistence <> 't'
  AND indrelid NOT IN $extension(pg_class);

-- Row types of tables, arrays and multiranges come with what they belong to.
SELECT CASE typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'type' END, oid::regtype,
       CASE typtype
         WHEN 'e' THEN (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
         WHEN 'd' THEN concat_ws(' ', format_type(typbasetype, typtypmod), CASE WHEN typnotnull THEN 'not null' END, 'default ' || typdefault,
           (SELECT 'collate ' || t.typcollation::regcollation FROM pg_type b WHERE b.oid = t.typbasetype AND b.typcollation <> t.typcollation))
         WHEN 'r' THEN (SELECT concat_ws(' ', rngsubtype::regtype, 'multirange', rngmultitypid::regtype,
             'canonical ' || nullif(rngcanonical, 0)::regproc, 'difference ' || nullif(rngsubdiff, 0)::regproc,
             'collate ' || nullif(rngcollation, 0)::regcollation, pg_describe_object('pg_opclass'::regclass, rngsubopc, 0))
           FROM pg_range WHERE rngtypid = t.oid)
         ELSE concat_ws(' ', to_jsonb(t) - '{oid,typname,typnamespace,typowner,typacl,typrelid,typelem,typarray,typbasetype,typcollation,typdefaultbin}'::text[],
           'of ' || nullif(typelem, 0)::regtype, 'collate ' || nullif(typcollation, 0)::regcollation) END
FROM pg_type t
WHERE oid >= 16384 AND typrelid = 0 AND typtype <> 'm' AND typsubscript <> 'array_subscript_handler'::regproc
  AND NOT $temporary(typnamespace) AND oid NOT IN $extension(pg_type);

SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, oid::regprocedure,
       CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid)
         ELSE (SELECT concat_ws(' ', pg_get_function_arguments(p.oid), 'parallel', proparallel, aggtranstype::regtype,
                 nullif(aggmtranstype, 0)::regtype, nullif(aggsortop, 0)::regoperator,
                 to_jsonb(a) - '{aggfnoid,aggtranstype,aggmtranstype,aggsortop}'::text[])
               FROM pg_aggregate a WHERE aggfnoid = p.oid) END
FROM pg_proc p
WHERE oid >= 16384 AND NOT $temporary(pronamespace) AND oid NOT IN $extension(pg_proc);

-- Those that enforce a foreign key have numbers in their names, and matter only if they do not fire.
SELECT 'trigger', tgrelid::regclass || '.' || quote_ident(CASE WHEN tgisinternal
         THEN (SELECT conname FROM pg_constraint WHERE oid = tgconstraint) ELSE tgname END),
       '(enabled ' || nullif(tgenabled::text, 'O') || ')', CASE WHEN tgisinternal THEN tgfoid::regproc::text ELSE pg_get_triggerdef(t.oid) END
FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
WHERE tgrelid >= 16384 AND (NOT tgisinternal OR tgenabled <> 'O') AND relpersistence <> 't'
  AND tgrelid NOT IN $extension(pg_class);

SELECT 'policy', polrelid::regclass || '.' || quote_ident(polname),
       CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END, polcmd::text,
       'to ' || (SELECT string_agg(CASE o WHEN 0 THEN 'public' ELSE o::regrole::text END, ', ' ORDER BY o::regrole::text)
                 FROM unnest(polroles) o),
       'using ' || pg_get_expr(polqual, polrelid), 'with check ' || pg_get_expr(polwithcheck, polrelid)
FROM pg_policy
WHERE polrelid NOT IN $extension(pg_class);

SELECT 'rule', ev_class::regclass || '.' || quote_ident(rulename), '(enabled ' || nullif(ev_enabled::text, 'O') || ')', pg_get_ruledef(r.oid)
FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class
WHERE ev_class >= 16384 AND (rulename <> '_RETURN' OR ev_enabled <> 'O') AND relpersistence <> 't'
  AND ev_class NOT IN $extension(pg_class);

SELECT 'statistics', stxnamespace::regnamespace || '.' || quote_ident(stxname), pg_get_statisticsobjdef(oid),
       'target ' || nullif(stxstattarget, -1) -- NULL from 17 on
FROM pg_statistic_ext
WHERE stxrelid NOT IN $extension(pg_class);

SELECT 'extension', quote_ident(extname), extversion, 'in', extnamespace::regnamespace FROM pg_extension;

-- What goes when an extension goes, though it is not part of it: ALTER … DEPENDS ON EXTENSION.
SELECT 'dependency', pg_describe_object(classid, objid, objsubid), 'on extension', quote_ident(extname)
FROM pg_depend d JOIN pg_extension e ON e.oid = refobjid
WHERE refclassid = 'pg_extension'::regclass AND d.deptype = 'x';

SELECT 'event trigger', quote_ident(evtname), evtevent, evtfoid::regprocedure, '(enabled ' || nullif(evtenabled::text, 'O') || ')', evttags::text
FROM pg_event_trigger
WHERE oid NOT IN $extension(pg_event_trigger);

-- Kinds of which most schemas have none. Their names say what they are.
SELECT 'object', pg_describe_object(class, id, 0), def
FROM (
  SELECT 'pg_collation'::regclass, oid, (to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[])::text
    FROM pg_collation c WHERE oid >= 16384
  UNION ALL SELECT 'pg_operator'::regclass, oid, concat_ws(' ', oprcode, nullif(oprcom, 0)::regoperator,
    nullif(oprnegate, 0)::regoperator, oprrest, oprjoin, oprcanhash, oprcanmerge) FROM pg_operator WHERE oid >= 16384
  UNION ALL SELECT 'pg_opfamily'::regclass, oid, '' FROM pg_opfamily WHERE oid >= 16384
  UNION ALL SELECT 'pg_opclass'::regclass, oid, concat_ws(' ', opcintype::regtype, opcdefault, nullif(opckeytype, 0)::regtype,
    pg_describe_object('pg_opfamily'::regclass, opcfamily, 0)) FROM pg_opclass WHERE oid >= 16384
  UNION ALL SELECT 'pg_amop'::regclass, oid, concat_ws(' ', amoppurpose,
    pg_describe_object('pg_opfamily'::regclass, nullif(amopsortfamily, 0), 0)) FROM pg_amop WHERE oid >= 16384
  UNION ALL SELECT 'pg_amproc'::regclass, oid, '' FROM pg_amproc WHERE oid >= 16384
  UNION ALL SELECT 'pg_cast'::regclass, oid, concat_ws(' ', nullif(castfunc, 0)::regprocedure, castcontext, castmethod)
    FROM pg_cast WHERE oid >= 16384
  UNION ALL SELECT 'pg_conversion'::regclass, oid, concat_ws(' ', conproc, conforencoding, contoencoding, condefault)
    FROM pg_conversion WHERE oid >= 16384
  UNION ALL SELECT 'pg_language'::regclass, oid, concat_ws(' ', lanpltrusted, nullif(lanplcallfoid, 0)::regproc,
    nullif(laninline, 0)::regproc, nullif(lanvalidator, 0)::regproc) FROM pg_language WHERE oid >= 16384
  UNION ALL SELECT 'pg_transform'::regclass, oid, concat_ws(' ', trffromsql, trftosql) FROM pg_transform WHERE oid >= 16384
  UNION ALL SELECT 'pg_am'::regclass, oid, concat_ws(' ', amtype, amhandler) FROM pg_am WHERE oid >= 16384
  UNION ALL SELECT 'pg_ts_parser'::regclass, oid, (to_jsonb(p) - '{oid,prsname,prsnamespace}'::text[])::text
    FROM pg_ts_parser p WHERE oid >= 16384
  UNION ALL SELECT 'pg_ts_template'::regclass, oid, concat_ws(' ', tmplinit, tmpllexize) FROM pg_ts_template WHERE oid >= 16384
  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, concat_ws(' ',
    pg_describe_object('pg_ts_template'::regclass, dicttemplate, 0), dictinitoption) FROM pg_ts_dict WHERE oid >= 16384
  UNION ALL SELECT 'pg_ts_config'::regclass, oid, concat_ws(' ', pg_describe_object('pg_ts_parser'::regclass, cfgparser, 0),
    (SELECT string_agg(concat_ws(' ', maptokentype, mapseqno, mapdict::regdictionary), ', ' ORDER BY maptokentype, mapseqno)
     FROM pg_ts_config_map WHERE mapcfg = c.oid)) FROM pg_ts_config c WHERE oid >= 16384
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, concat_ws(' ', nullif(fdwhandler, 0)::regproc,
    nullif(fdwvalidator, 0)::regproc, fdwoptions) FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_foreign_server'::regclass, oid, concat_ws(' ', srvtype, srvversion, srvoptions,
    pg_describe_object('pg_foreign_data_wrapper'::regclass, srvfdw, 0)) FROM pg_foreign_server
  UNION ALL SELECT 'pg_publication'::regclass, oid, (to_jsonb(p) - '{oid,pubname,pubowner}'::text[])::text FROM pg_publication p
  UNION ALL SELECT 'pg_publication_rel'::regclass, oid, '' FROM pg_publication_rel -- before 15
  UNION ALL SELECT 'pg_publication_rel'::regclass, oid, concat_ws(' ', 'columns ' || ( -- since 15
      SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute -- since 15
      WHERE attrelid = prrelid AND attnum = ANY (prattrs)), 'where ' || pg_get_expr(prqual, prrelid)) -- since 15
    FROM pg_publication_rel -- since 15
  UNION ALL SELECT 'pg_publication_namespace'::regclass, oid, '' FROM pg_publication_namespace -- since 15
) o (class, id, def)
WHERE (class, id) NOT IN (SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e');

-- The options hold passwords.
SELECT 'user mapping', quote_ident(srvname) || ' for ' || quote_ident(usename), 'options sha256 ' || encode(sha256(convert_to(umoptions::text, 'UTF8')), 'hex')
FROM pg_user_mappings
WHERE umuser = 0 OR umuser IN (SELECT oid FROM pg_roles WHERE NOT rolcanlogin);

-- Privileges of PUBLIC and of group roles, unless initdb or an extension gave them. The owner's own, and those of roles
-- that can log in (a tenant's, an operator's), belong to the place and not to the schema. An object of PostgreSQL's own
-- from which somebody took what initdb gave has a line even if nothing is left.
SELECT 'grant', concat_ws('.', pg_describe_object(class, id, 0), quote_ident(attribute)) || ' to '
         || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE coalesce(grantee::regrole::text, 'nobody') END,
       string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY privilege_type)
FROM (
  SELECT 'pg_namespace'::regclass, oid, 0, NULL::name, nspacl, nspowner FROM pg_namespace WHERE nspacl IS NOT NULL
  UNION ALL SELECT 'pg_class'::regclass, oid, 0, NULL, relacl, relowner FROM pg_class
    WHERE relacl IS NOT NULL AND relpersistence <> 't'
  UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum, attname, attacl,
      (SELECT relowner FROM pg_class WHERE oid = attrelid AND relpersistence <> 't')
    FROM pg_attribute WHERE attacl IS NOT NULL AND NOT attisdropped
  UNION ALL SELECT 'pg_proc'::regclass, oid, 0, NULL, coalesce(proacl, acldefault('f', proowner)), proowner FROM pg_proc
    WHERE proacl IS NOT NULL
      OR oid >= 16384 AND NOT $temporary(pronamespace) AND oid NOT IN $extension(pg_proc)
  UNION ALL SELECT 'pg_type'::regclass, oid, 0, NULL, coalesce(typacl, acldefault('T', typowner)), typowner FROM pg_type
    WHERE typacl IS NOT NULL
      OR oid >= 16384 AND typrelid = 0 AND typtype <> 'm' AND typsubscript <> 'array_subscript_handler'::regproc
        AND NOT $temporary(typnamespace) AND oid NOT IN $extension(pg_type)
  UNION ALL SELECT 'pg_language'::regclass, oid, 0, NULL, coalesce(lanacl, acldefault('l', lanowner)), lanowner FROM pg_language
    WHERE lanacl IS NOT NULL OR oid >= 16384 AND oid NOT IN $extension(pg_language)
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, 0, NULL, fdwacl, fdwowner FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_foreign_server'::regclass, oid, 0, NULL, srvacl, srvowner FROM pg_foreign_server
) a (class, id, sub, attribute, acl, owner)
LEFT JOIN pg_init_privs ON objoid = id AND classoid = class AND objsubid = sub
LEFT JOIN LATERAL (
  SELECT * FROM aclexplode(acl) WHERE grantee <> owner AND (grantee = 0 OR grantee IN (SELECT oid FROM pg_roles WHERE NOT rolcanlogin))
) x ON true
WHERE initprivs IS DISTINCT FROM acl AND (grantee IS NOT NULL OR id < 16384)
GROUP BY class, id, attribute, grantee;

-- A role that may make nothing here, as a tenant's, may have some all the same; they are of no consequence.
SELECT 'default grant', concat_ws(' ', nullif(defaclnamespace, 0)::regnamespace, defaclobjtype, 'to',
         CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END),
       string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY privilege_type)
FROM pg_default_acl, aclexplode(defaclacl)
WHERE grantee <> defaclrole AND (grantee = 0 OR grantee IN (SELECT oid FROM pg_roles WHERE NOT rolcanlogin))
  AND (has_database_privilege(defaclrole, current_database(), 'CREATE') OR EXISTS (
    SELECT FROM pg_namespace WHERE nspname !~ '^pg_' AND has_schema_privilege(defaclrole, oid, 'CREATE')))
GROUP BY defaclnamespace, defaclobjtype, grantee;

-- Large objects are data.
SELECT 'comment', pg_describe_object(classoid, objoid, objsubid), quote_literal(description)
FROM pg_description
WHERE classoid <> 'pg_largeobject'::regclass
  AND (objoid >= 16384 OR classoid = 'pg_namespace'::regclass AND objoid = 'public'::regnamespace)
  AND (classoid, objoid) NOT IN (SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e');

SELECT 'security label', pg_describe_object(classoid, objoid, objsubid), quote_ident(provider), quote_literal(label)
FROM pg_seclabel
