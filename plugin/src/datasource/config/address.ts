/** What is wrong with the address of a backend; undefined for one that can be used. */
export function addressProblem(address: string | undefined): string | undefined {
  if (!address) {
    return 'is needed, such as http://backend:8090';
  }
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return 'is no address; it looks like http://backend:8090';
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return 'begins with http:// or https://';
  }
  if (url.username || url.password) {
    return 'has no user or password: the token has a field of its own';
  }
  return address.endsWith('/') || url.search || url.hash
    ? 'ends without a slash, a query or a fragment'
    : undefined;
}
