const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
const QUOTED = /^"[\w !#$%&'()*+,./:;<=>?@-]*"$/;

/** Whether the text can be sent as a Content-Type: one line, one type. @see https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1 */
export function isMediaType(text: string): boolean {
  const [type = '', ...parameters] = text.split(';');
  const [top = '', sub = '', ...more] = type.trim().split('/');
  if (more.length > 0 || !TOKEN.test(top) || !TOKEN.test(sub) || text.includes('*')) return false;
  return parameters.every((parameter) => {
    const [name = '', value = '', ...rest] = parameter.trim().split('=');
    return rest.length === 0 && TOKEN.test(name) && (TOKEN.test(value) || QUOTED.test(value));
  });
}
