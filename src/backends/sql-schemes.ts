/** Which result backends are SQL: SQLAlchemy's schemes with Celery's mark. Without it `sqlite` is Petiole's own file. */
const SQL =
  /^(?:db\+(?:postgres(?:ql)?|mysql|mariadb|sqlite)|postgres(?:ql)?|mysql|mariadb)(?:\+[a-z0-9_]+)?$/i;

export function isSqlScheme(scheme: string): boolean {
  return SQL.test(scheme);
}

export function isSqlBackend(url: string): boolean {
  return isSqlScheme(url.slice(0, url.indexOf(":")).trim());
}
