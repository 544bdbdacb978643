-- The schema of one church's database: 24 tables of the church's own work, and admins, the people who sign in.
--
-- No table has a church id: the database is the church. created_at and id together order every list, newest first, and
-- (created_at, id) is its index. Queries set updated_at; there are no triggers. Ids are text so that an id that is no
-- UUID is merely not found.

-- People who sign in ------------------------------------------------------------------------------------------------

-- The columns are those that authn/accounts expects. The first admin's row is written while the church signs up.
CREATE TABLE admins (
    id            text PRIMARY KEY,
    email         text NOT NULL CONSTRAINT admins_email_key UNIQUE,
    first_name    text NOT NULL,
    last_name     text NOT NULL,
    role          text NOT NULL CHECK (role IN ('PRIMARY', 'ADMIN')),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- The congregation --------------------------------------------------------------------------------------------------

CREATE TYPE member_status AS ENUM ('visitor', 'active', 'inactive');

CREATE TABLE branches (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    city       text NOT NULL DEFAULT '' CHECK (length(city) <= 120),
    address    text NOT NULL DEFAULT '' CHECK (length(address) <= 500),
    phone      text CHECK (phone ~ '^\+?[0-9][0-9 ()./-]{4,24}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX branches_name_key ON branches (lower(name));
CREATE INDEX branches_page_idx ON branches (created_at, id);

CREATE TABLE families (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    address    text NOT NULL DEFAULT '' CHECK (length(address) <= 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX families_page_idx ON families (created_at, id);

CREATE TABLE members (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    branch_id  text CONSTRAINT members_branch_id_fkey REFERENCES branches ON DELETE SET NULL,
    family_id  text CONSTRAINT members_family_id_fkey REFERENCES families ON DELETE SET NULL,
    first_name text NOT NULL CHECK (length(first_name) BETWEEN 1 AND 80),
    last_name  text NOT NULL CHECK (length(last_name) BETWEEN 1 AND 80),
    email      text CHECK (length(email) <= 254 AND email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'),
    phone      text CHECK (phone ~ '^\+?[0-9][0-9 ()./-]{4,24}$'),
    status     member_status NOT NULL DEFAULT 'active',
    birth_date date CHECK (birth_date > '1850-01-01'),
    joined_on  date NOT NULL DEFAULT current_date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX members_email_key ON members (lower(email));
CREATE INDEX members_page_idx ON members (created_at, id);
CREATE INDEX members_name_idx ON members (last_name, first_name);
CREATE INDEX members_branch_idx ON members (branch_id) WHERE branch_id IS NOT NULL;
CREATE INDEX members_family_idx ON members (family_id) WHERE family_id IS NOT NULL;

CREATE TABLE tags (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    color      text NOT NULL DEFAULT '#7c8aa0' CHECK (color ~ '^#[0-9a-f]{6}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX tags_name_key ON tags (lower(name));

CREATE TABLE member_tags (
    member_id  text NOT NULL REFERENCES members ON DELETE CASCADE,
    tag_id     text NOT NULL REFERENCES tags ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (member_id, tag_id)
);
CREATE INDEX member_tags_tag_idx ON member_tags (tag_id);

CREATE TABLE notes (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    member_id  text NOT NULL REFERENCES members ON DELETE CASCADE,
    author_id  text REFERENCES admins ON DELETE SET NULL,
    body       text NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    private    boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_member_idx ON notes (member_id, created_at);

-- Groups and events -------------------------------------------------------------------------------------------------

CREATE TYPE group_kind AS ENUM ('ministry', 'small_group', 'choir', 'committee');
CREATE TYPE group_role AS ENUM ('leader', 'member');
CREATE TYPE attendance_status AS ENUM ('present', 'excused', 'absent');

CREATE TABLE groups (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    branch_id  text REFERENCES branches ON DELETE SET NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    kind       group_kind NOT NULL DEFAULT 'small_group',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX groups_name_key ON groups (lower(name));
CREATE INDEX groups_branch_idx ON groups (branch_id) WHERE branch_id IS NOT NULL;

CREATE TABLE group_members (
    group_id   text NOT NULL REFERENCES groups ON DELETE CASCADE,
    member_id  text NOT NULL REFERENCES members ON DELETE CASCADE,
    role       group_role NOT NULL DEFAULT 'member',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_id, member_id)
);
CREATE INDEX group_members_member_idx ON group_members (member_id);

CREATE TABLE events (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    branch_id  text REFERENCES branches ON DELETE SET NULL,
    group_id   text REFERENCES groups ON DELETE SET NULL,
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at > starts_at)
);
CREATE INDEX events_starts_idx ON events (starts_at, id);
CREATE INDEX events_branch_idx ON events (branch_id) WHERE branch_id IS NOT NULL;
CREATE INDEX events_group_idx ON events (group_id) WHERE group_id IS NOT NULL;

CREATE TABLE attendances (
    event_id   text NOT NULL REFERENCES events ON DELETE CASCADE,
    member_id  text NOT NULL REFERENCES members ON DELETE CASCADE,
    status     attendance_status NOT NULL DEFAULT 'present',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, member_id)
);
CREATE INDEX attendances_member_idx ON attendances (member_id);

-- Messages ----------------------------------------------------------------------------------------------------------

CREATE TYPE channel AS ENUM ('email', 'sms');
CREATE TYPE message_status AS ENUM ('draft', 'sent');
CREATE TYPE recipient_status AS ENUM ('queued', 'sent', 'delivered', 'failed');
CREATE TYPE delivery_kind AS ENUM ('accepted', 'delivered', 'opened', 'bounced', 'complained');
CREATE TYPE frequency AS ENUM ('daily', 'weekly', 'monthly');

CREATE TABLE message_templates (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    channel    channel NOT NULL DEFAULT 'email',
    subject    text NOT NULL DEFAULT '' CHECK (length(subject) <= 200),
    body       text NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX message_templates_name_key ON message_templates (lower(name));
CREATE INDEX message_templates_page_idx ON message_templates (created_at, id);

CREATE TABLE messages (
    id          text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    branch_id   text CONSTRAINT messages_branch_id_fkey REFERENCES branches ON DELETE SET NULL,
    template_id text CONSTRAINT messages_template_id_fkey REFERENCES message_templates ON DELETE SET NULL,
    channel     channel NOT NULL DEFAULT 'email',
    subject     text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    body        text NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    status      message_status NOT NULL DEFAULT 'draft',
    sent_at     timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX messages_page_idx ON messages (created_at, id);
CREATE INDEX messages_branch_idx ON messages (branch_id) WHERE branch_id IS NOT NULL;
CREATE INDEX messages_template_idx ON messages (template_id) WHERE template_id IS NOT NULL;

CREATE TABLE message_recipients (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    message_id text NOT NULL REFERENCES messages ON DELETE CASCADE,
    member_id  text REFERENCES members ON DELETE SET NULL,
    address    text NOT NULL CHECK (length(address) BETWEEN 1 AND 254),
    status     recipient_status NOT NULL DEFAULT 'queued',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT message_recipients_message_member_key UNIQUE (message_id, member_id)
);
CREATE INDEX message_recipients_page_idx ON message_recipients (message_id, created_at, id);
CREATE INDEX message_recipients_member_idx ON message_recipients (member_id) WHERE member_id IS NOT NULL;
CREATE INDEX message_recipients_queued_idx ON message_recipients (created_at) WHERE status = 'queued';

CREATE TABLE delivery_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient_id text NOT NULL REFERENCES message_recipients ON DELETE CASCADE,
    kind         delivery_kind NOT NULL,
    detail       text NOT NULL DEFAULT '' CHECK (length(detail) <= 1000),
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX delivery_events_recipient_idx ON delivery_events (recipient_id, created_at);

CREATE TABLE recurring_messages (
    id          text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    template_id text NOT NULL CONSTRAINT recurring_messages_template_id_fkey REFERENCES message_templates ON DELETE RESTRICT,
    branch_id   text CONSTRAINT recurring_messages_branch_id_fkey REFERENCES branches ON DELETE CASCADE,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    frequency   frequency NOT NULL,
    next_run_at timestamptz NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX recurring_messages_name_key ON recurring_messages (lower(name));
CREATE INDEX recurring_messages_page_idx ON recurring_messages (created_at, id);
CREATE INDEX recurring_messages_due_idx ON recurring_messages (next_run_at) WHERE active;
CREATE INDEX recurring_messages_template_idx ON recurring_messages (template_id);
CREATE INDEX recurring_messages_branch_idx ON recurring_messages (branch_id) WHERE branch_id IS NOT NULL;

CREATE TYPE conversation_status AS ENUM ('open', 'closed');
CREATE TYPE direction AS ENUM ('inbound', 'outbound');

CREATE TABLE conversations (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    member_id  text NOT NULL CONSTRAINT conversations_member_id_fkey REFERENCES members ON DELETE CASCADE,
    subject    text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    status     conversation_status NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversations_page_idx ON conversations (created_at, id);
CREATE INDEX conversations_member_idx ON conversations (member_id);

CREATE TABLE conversation_messages (
    id              text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    conversation_id text NOT NULL CONSTRAINT conversation_messages_conversation_id_fkey REFERENCES conversations ON DELETE CASCADE,
    author_id       text REFERENCES admins ON DELETE SET NULL,
    direction       direction NOT NULL,
    body            text NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (direction = 'outbound' OR author_id IS NULL)
);
CREATE INDEX conversation_messages_page_idx ON conversation_messages (conversation_id, created_at, id);
CREATE INDEX conversation_messages_author_idx ON conversation_messages (author_id) WHERE author_id IS NOT NULL;

-- Money -------------------------------------------------------------------------------------------------------------

CREATE TYPE payment_method AS ENUM ('cash', 'card', 'transfer', 'cheque');
CREATE TYPE pledge_status AS ENUM ('open', 'fulfilled', 'cancelled');
CREATE TYPE plan AS ENUM ('basic', 'plus', 'premium');
CREATE TYPE subscription_status AS ENUM ('trialing', 'active', 'past_due', 'cancelled');

CREATE TABLE funds (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    goal_cents bigint CHECK (goal_cents > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX funds_name_key ON funds (lower(name));

CREATE TABLE pledges (
    id           text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    member_id    text NOT NULL REFERENCES members ON DELETE CASCADE,
    fund_id      text NOT NULL REFERENCES funds ON DELETE RESTRICT,
    amount_cents bigint NOT NULL CHECK (amount_cents > 0),
    currency     text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
    status       pledge_status NOT NULL DEFAULT 'open',
    due_on       date,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pledges_member_idx ON pledges (member_id);
CREATE INDEX pledges_fund_idx ON pledges (fund_id);

-- A donation outlives the member who gave it: the books must not change when a person leaves.
CREATE TABLE donations (
    id           text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    member_id    text REFERENCES members ON DELETE SET NULL,
    fund_id      text NOT NULL REFERENCES funds ON DELETE RESTRICT,
    pledge_id    text REFERENCES pledges ON DELETE SET NULL,
    amount_cents bigint NOT NULL CHECK (amount_cents > 0),
    currency     text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
    method       payment_method NOT NULL,
    received_on  date NOT NULL DEFAULT current_date,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX donations_received_idx ON donations (received_on, id);
CREATE INDEX donations_member_idx ON donations (member_id) WHERE member_id IS NOT NULL;
CREATE INDEX donations_fund_idx ON donations (fund_id);
CREATE INDEX donations_pledge_idx ON donations (pledge_id) WHERE pledge_id IS NOT NULL;

-- What the church itself pays for. At most one that is not cancelled.
CREATE TABLE subscriptions (
    id                 text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    plan               plan NOT NULL,
    status             subscription_status NOT NULL DEFAULT 'trialing',
    seats              integer NOT NULL DEFAULT 1 CHECK (seats BETWEEN 1 AND 10000),
    current_period_end timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX subscriptions_current_key ON subscriptions ((status <> 'cancelled')) WHERE status <> 'cancelled';
CREATE INDEX subscriptions_page_idx ON subscriptions (created_at, id);

-- Housekeeping ------------------------------------------------------------------------------------------------------

CREATE TYPE import_status AS ENUM ('queued', 'running', 'done', 'failed');

CREATE TABLE import_jobs (
    id          text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    admin_id    text REFERENCES admins ON DELETE SET NULL,
    file_name   text NOT NULL CHECK (length(file_name) BETWEEN 1 AND 255),
    status      import_status NOT NULL DEFAULT 'queued',
    rows_total  integer NOT NULL DEFAULT 0 CHECK (rows_total >= 0),
    rows_done   integer NOT NULL DEFAULT 0 CHECK (rows_done BETWEEN 0 AND rows_total),
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((status IN ('done', 'failed')) = (finished_at IS NOT NULL))
);
CREATE INDEX import_jobs_page_idx ON import_jobs (created_at, id);

CREATE TABLE settings (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_.]{0,62}$'),
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit_entries (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    admin_id   text REFERENCES admins ON DELETE SET NULL,
    action     text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    subject_id text,
    detail     jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_entries_subject_idx ON audit_entries (subject_id, created_at) WHERE subject_id IS NOT NULL;
CREATE INDEX audit_entries_created_idx ON audit_entries (created_at);
